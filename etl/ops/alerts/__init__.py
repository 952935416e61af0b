"""What somebody should know of a source: judged from the books, kept until it is over, and told once each way."""
