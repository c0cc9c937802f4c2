"""From a prompt to a score: the kind of question, how it may be answered, what the answer says, its worth."""
