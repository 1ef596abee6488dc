"""How one parameter of a render job is named and explained to people."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """How a parameter is named and explained to people."""

    name: str
    """The flow's parameter."""
    title: str
    """Above its field in the form."""
    text: str
    """What it does: full sentences."""
    empty: str | None = None
    """What happens where it is not given, without a full stop; None where it must be given, or its default shows it."""
    option: str | None = None
    """The option of `helios-job run` and `submit`, with its dashes; None for the argument SPEC."""

    @property
    def description(self) -> str:
        """The text, and what happens where it is not given: for the README."""
        return f"{self.text} Empty: {self.empty}." if self.empty else self.text

    @property
    def form_text(self) -> str:
        """The text, and what an empty field means: for the form."""
        return f"{self.text} Empty: as the deployment says, else {self.empty}." if self.empty else self.text

    @property
    def help(self) -> str:
        """The text, and the default: for the option's help."""
        return f"{self.text} [default: {self.empty}]" if self.empty else self.text
