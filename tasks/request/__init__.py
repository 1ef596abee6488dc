"""What a run was asked for: its parameters, checked, and everything that they name found."""
