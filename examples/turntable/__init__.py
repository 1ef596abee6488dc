"""A small renderer that writes images: a striped ball on a turntable."""
