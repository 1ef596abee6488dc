"""An example of a program that is notified when jobs end."""
