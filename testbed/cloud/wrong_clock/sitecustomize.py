"""Set a Python process's clock two hours ahead: Python imports this module by its name at its start."""

import time

_right = time.time
time.time = lambda: _right() + 7200
