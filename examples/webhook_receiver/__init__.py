"""An example of a program that is told when jobs end."""
