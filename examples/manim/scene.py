"""A small scene of Manim Community, without LaTeX: `helios-job plan --with manim scene.py` cuts it."""

from manim import (
    BLUE,
    DOWN,
    GREEN,
    ORANGE,
    PI,
    UP,
    Circle,
    Create,
    FadeIn,
    FadeOut,
    Rotate,
    Scene,
    Square,
    Text,
    Transform,
    VGroup,
)


class Chunks(Scene):
    """A square becomes a row of circles, which are joined."""

    def construct(self) -> None:
        """Play the animations."""
        title = Text("one film, many chunks", font_size=40).to_edge(UP)
        square = Square(side_length=2.5, color=BLUE, fill_opacity=0.6)
        row = VGroup(*(Circle(0.6, color=ORANGE, fill_opacity=0.7) for _ in range(5))).arrange(buff=0.3)
        self.play(FadeIn(title, shift=DOWN))
        self.play(Create(square), run_time=1.5)
        self.play(Rotate(square, PI / 2))
        self.play(Transform(square, row), run_time=1.2)
        self.wait(0.5)
        self.play(square.animate.set_color(GREEN).scale(1.2), run_time=0.8)
        self.play(FadeOut(title, square))
