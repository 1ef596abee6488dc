"""Films to choose and test the limits of picture and sound checks: good ones, and the ways in which they go bad."""
