"""What Kubernetes is asked for, checked against Kubernetes's own schemas."""

from typing import Any

import kubernetes_validate
import pytest
from pydantic import TypeAdapter, ValidationError

from adapters.farm_cluster.config import ClusterConfig, Kubernetes
from adapters.farm_cluster.kubernetes_manifest import job_manifest, secret_manifest
from helios.own_farm.join_token import JoinToken, draw_secret

TOKEN = JoinToken("127.0.0.1", 8786, draw_secret())
VERSIONS = ("1.25", "1.29", "1.33", kubernetes_validate.latest_version())


def config(**settings: Any) -> Kubernetes:
    found = TypeAdapter(ClusterConfig).validate_python(
        {"type": "kubernetes", "most": 3, "image": "registry.example/helios:1", **settings}
    )
    assert isinstance(found, Kubernetes)
    return found


def job(**settings: Any) -> dict[str, Any]:
    return job_manifest(config(**settings), flow="helios-kubernetes-a", name="helios-kubernetes-a-1", tags={"b", "a"})


EVERYTHING: dict[str, Any] = {
    "slots": 4, "cpu": 7.5, "memory": "16GB", "gpus": 2, "node_selector": {"pool": "render"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "service_account": "renderer", "env": {"HELIOS_COMMAND_USER": "nobody"}, "env_from": ["bucket"],
    "pod": {"hostNetwork": True, "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "farm"}}]},
    "container": {"volumeMounts": [{"name": "d", "mountPath": "/mnt/farm"}]}, "lifetime_seconds": 3600,
    "sandbox": "bubblewrap",
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    """The manifests are valid by the strict schemas of old and new versions of Kubernetes."""
    for manifest in (job(), job(**EVERYTHING)):
        kubernetes_validate.validate(manifest, version, strict=True)
    secret = secret_manifest(TOKEN, flow="helios-a", name="helios-a-1", job_uid="0a1b")
    kubernetes_validate.validate(secret, version, strict=True)


def test_every_setting_is_used() -> None:
    """Each setting is where Kubernetes looks for it, and the container is our node."""
    found = job(**EVERYTHING)
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == [
        "python", "-m", "helios.own_farm", "--slots", "4", "--idle", "60", "--drain", "20", "--sandbox", "bubblewrap",
        "--tag", "a", "--tag", "b", "--memory", "16GB", "--gpus", "2",
    ]  # fmt: skip
    assert container["resources"] == {
        "requests": {"cpu": "7.5", "memory": "16000000000"},
        "limits": {"memory": "16000000000", "nvidia.com/gpu": "2"},
    }
    assert pod["nodeSelector"] == {"pool": "render"}
    assert pod["tolerations"] == EVERYTHING["tolerations"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("renderer", True)
    assert (pod["hostNetwork"], container["volumeMounts"][0]["mountPath"]) == (True, "/mnt/farm")
    assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert found["spec"]["activeDeadlineSeconds"] == 3600


def test_what_was_not_set_is_not_asked_for() -> None:
    """A plain node asks for a CPU a slot, has no key to the cluster, is never repeated, and leaves nothing behind."""
    found = job(slots=2)
    pod = found["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "2"}, "limits": {}}
    assert pod["automountServiceAccountToken"] is False
    assert not {"nodeSelector", "tolerations", "serviceAccountName"} & pod.keys()
    assert (found["spec"]["backoffLimit"], found["spec"]["ttlSecondsAfterFinished"]) == (0, 60)


def test_the_token_is_in_the_secret_alone() -> None:
    """The Job names the Secret, which the Job owns."""
    secret = secret_manifest(TOKEN, flow="helios-a", name="helios-a-1", job_uid="0a1b")
    assert secret["stringData"] == {"join-token": TOKEN.text}
    assert secret["metadata"]["ownerReferences"][0]["uid"] == "0a1b"
    assert TOKEN.text.partition("/")[2] not in str(job(**EVERYTHING))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"image": ""}, "image"),
        ({"namespace": "Not A Name"}, "namespace"),
        ({"memory": "much"}, "memory"),
        ({"partition": "x"}, "partition"),
        ({"lifetime_seconds": 1}, "lifetime_seconds"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    """A wrong setting is named."""
    with pytest.raises(ValidationError, match=words):
        config(**settings)
