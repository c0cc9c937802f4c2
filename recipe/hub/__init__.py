"""``recipe push``: which files go to the Hugging Face hub, under which terms, and the card that explains them."""
