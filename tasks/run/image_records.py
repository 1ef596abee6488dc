"""The images of chunks that are not whole yet: which are accepted, and where a command writes more.

They are on record before an image gets its name, so that whatever dies in between, each image is either on record or
still in its attempt's folder.
"""

from helios.models.images import PartialImages
from helios.models.spec import RenderJobChunk
from tasks.run.accepted import AcceptedChunks
from tasks.run.identity import RunIdentity
from tasks.run.inputs import RunInputs


class ImageRecords:
    """The accepted images of a run's chunks, as long as a chunk is not whole.

    Args:
        identity: The run.
        accepted: The job's records.
        inputs: What the chunks are rendered from.
    """

    def __init__(self, identity: RunIdentity, accepted: AcceptedChunks, inputs: RunInputs) -> None:
        self._identity = identity
        self._accepted = accepted
        self._inputs = inputs
        self._partial: dict[int, PartialImages] = {}

    def of(self, chunk: RenderJobChunk) -> PartialImages:
        """A chunk's images so far."""
        found = self._partial.get(chunk.id)
        return PartialImages(chunk_id=chunk.id, run_id=self._identity.run_id) if found is None else found

    async def find(self, chunk: RenderJobChunk) -> PartialImages | None:
        """What an earlier run has on record of a chunk that was not whole; None if there is nothing to be had."""
        found = await self._accepted.find_images(chunk)
        return None if found is None else await self._inputs.reconcile(chunk, found)

    def keep(self, chunk: RenderJobChunk, images: PartialImages) -> None:
        """Remember images that an earlier run had accepted."""
        self._partial[chunk.id] = images

    async def write(self, chunk: RenderJobChunk, images: PartialImages) -> PartialImages:
        """Put a chunk's images on record, as rendered by this run from the inputs that it has."""
        dated = {
            "run_id": self._identity.run_id,
            "inputs": self._inputs.digest_of(chunk),
            "input_list": self._inputs.list_key,
        }
        self._partial[chunk.id] = images = images.model_copy(update=dated)
        await self._accepted.write_images(chunk, images)
        return images

    def forget(self, chunk: RenderJobChunk) -> None:
        """Leave a chunk's images to its own record, or have all of them rendered again."""
        self._partial.pop(chunk.id, None)
