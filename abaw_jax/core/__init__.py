"""What every room uses: errors, label spaces, choices by name, the command line."""
