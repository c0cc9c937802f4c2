"""What a new dataset begins with: its builder, its wordings, its line among the tests' facts."""
