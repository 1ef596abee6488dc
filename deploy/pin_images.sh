#!/usr/bin/env bash
# Bring the digest of every image under deploy/ up to date with what its tag is today:
#   deploy/pin_images.sh
# Docker asks the registries (its daemon need not run). Build and try the images then, and commit the files.
set -euo pipefail
cd "$(dirname "$0")"
files=(aws/Dockerfile compose/Dockerfile gcp/Dockerfile compose/compose.yaml)
images=$(sed -nE 's/^(FROM|    image:) ([^ @]+:[^ @]+)(@sha256:[0-9a-f]+)?$/\2/p' "${files[@]}" | sort -u)
for image in $images; do
    digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
    [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "$image: $digest is no digest" >&2; exit 1; }
    sed -i -E "s|^(FROM\|    image:) ${image//./\\.}(@sha256:[0-9a-f]+)?$|\1 $image@$digest|" "${files[@]}"
    echo "$image@$digest"
done
