"""A clockwork of glowing planets: ten seconds, 1280×720 at 30 frames per second, with music.

Every frame is a function of its number alone, so that any worker draws any frame alike. Each carries its
number twice: in digits for people, and as a row of squares for machines (`examples.orrery.frame_code`).
"""

FPS = 30
FRAMES = 300
WIDTH, HEIGHT = 1280, 720
