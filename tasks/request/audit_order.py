"""What a request says about the audit."""

from dataclasses import dataclass

from helios.errors import RequestError

LEAST_PSNR = 45.0
"""Decibels. Below, people may see the difference of two pictures side by side; a renderer that depends on nothing but
its frame gives equal pictures."""

MAX_SEED_BITS = 63
MAX_PSNR = 1000.0
"""Decibels; 8-bit pictures that differ in one sample of a billion have 138."""


@dataclass(frozen=True)
class AuditOrder:
    """How many chunks are rendered a second time, and how much their pictures may differ."""

    share: float = 0.0
    """Of the chunks, 0 to 1; above 0 at least one chunk."""
    least_psnr: float = LEAST_PSNR
    """What is good enough, in dB, for codecs that are not lossless."""
    seed: int | None = None
    """Of the draw; None for one that every run has for itself."""

    def check(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            RequestError: Says which.
        """
        if not 0 <= self.share <= 1:  # also refuses what is not a number
            raise RequestError(
                f"The share of chunks to audit is {self.share:g} (--audit); expected 0 to 1, such as 0.02 for one in 50"
            )
        if not 0 <= self.least_psnr <= MAX_PSNR:
            raise RequestError(
                f"The lowest PSNR of the audit is {self.least_psnr:g} dB (--audit-psnr); expected 0 or more, such as 45"
            )
        if self.seed is not None and self.seed.bit_length() > MAX_SEED_BITS:
            bits = self.seed.bit_length()
            raise RequestError(
                f"The seed of the audit has {bits} bits (--audit-seed); expected at most {MAX_SEED_BITS}"
            )
        if self.seed is not None and self.seed < 0:
            raise RequestError(f"The seed of the audit is {self.seed} (--audit-seed); expected 0 or more")


NO_AUDIT = AuditOrder()
