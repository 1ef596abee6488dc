"""Look into media files, and join them. Everything goes through FFmpeg's own libraries (PyAV)."""
