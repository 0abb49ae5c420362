"""The stages from tags to masks, in order."""
