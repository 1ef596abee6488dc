#!/usr/bin/env bash
# Make everything that a render farm on Cloud Run needs, or bring it up to date; it may be run again.
#   deploy/gcp/deploy.sh PROJECT REGION BUCKET ORCHESTRATOR
# ORCHESTRATOR is who runs jobs: user:you@example.com, or serviceAccount:NAME@PROJECT.iam.gserviceaccount.com
set -euo pipefail
if [ $# -ne 4 ]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
project=$1 region=$2 bucket=$3 orchestrator=$4
cd "$(dirname "$0")/../.."
export CLOUDSDK_CORE_PROJECT=$project CLOUDSDK_RUN_REGION=$region
worker=helios-worker@$project.iam.gserviceaccount.com
image=$region-docker.pkg.dev/$project/helios/worker:$(git rev-parse --short HEAD)

gcloud services enable run.googleapis.com artifactregistry.googleapis.com iamcredentials.googleapis.com iam.googleapis.com

echo "The bucket: closed to the public, and what jobs leave is removed after 7 days."
gcloud storage buckets describe "gs://$bucket" >/dev/null 2>&1 ||
    gcloud storage buckets create "gs://$bucket" --location="$region" --uniform-bucket-level-access --public-access-prevention
gcloud storage buckets update "gs://$bucket" --lifecycle-file=deploy/gcp/lifecycle.json

echo "The worker's account: it may touch the objects of this bucket, and nothing else."
gcloud iam service-accounts describe "$worker" >/dev/null 2>&1 ||
    gcloud iam service-accounts create helios-worker --display-name="Renders chunks"
gcloud storage buckets add-iam-policy-binding "gs://$bucket" --member="serviceAccount:$worker" --role=roles/storage.objectUser >/dev/null

echo "The image."
gcloud artifacts repositories describe helios --location="$region" >/dev/null 2>&1 ||
    gcloud artifacts repositories create helios --location="$region" --repository-format=docker
gcloud auth configure-docker "$region-docker.pkg.dev" --quiet
docker build --platform linux/amd64 -f deploy/gcp/Dockerfile -t "$image" .
docker push "$image"

fill() { sed -e "s|IMAGE|$image|; s|PROJECT|$project|; s|BUCKET|$bucket|" "$1"; }
echo "The service and the job."
fill deploy/gcp/service.yaml | gcloud run services replace -
fill deploy/gcp/job.yaml | gcloud run jobs replace -

echo "The orchestrator may call the service, run the job, and touch the bucket's objects."
gcloud run services add-iam-policy-binding helios-worker --member="$orchestrator" --role=roles/run.invoker >/dev/null
# roles/run.developer could put another image into the job. This role can start it, watch it and stop it.
role=projects/$project/roles/heliosOrchestrator
permissions=run.jobs.get,run.jobs.run,run.jobs.runWithOverrides,run.executions.get,run.executions.list,run.executions.cancel
permissions+=,run.tasks.get,run.tasks.list,run.operations.get
gcloud iam roles describe heliosOrchestrator --project="$project" >/dev/null 2>&1 && action=update || action=create
gcloud iam roles "$action" heliosOrchestrator --project="$project" --title="Runs chunks of helios-render" \
    --permissions="$permissions" --stage=GA --quiet >/dev/null
gcloud run jobs add-iam-policy-binding helios-worker --member="$orchestrator" --role="$role" >/dev/null
gcloud storage buckets add-iam-policy-binding "gs://$bucket" --member="$orchestrator" --role=roles/storage.objectUser >/dev/null

url=$(gcloud run services describe helios-worker --format='value(status.url)')
cat <<EOF

export HELIOS_CLOUD_RUN_CONFIG='{"storage": "gs://$bucket/farm", "service_url": "$url"}'
export HELIOS_CLOUD_RUN_JOB_CONFIG='{"storage": "gs://$bucket/farm", "job": "projects/$project/locations/$region/jobs/helios-worker"}'
EOF
