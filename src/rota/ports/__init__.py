"""What the services need from the outside, each a Protocol of at most eight methods named for the need."""
