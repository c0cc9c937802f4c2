"""The files as their authors publish them: where they are, on which terms, and how they come here."""
