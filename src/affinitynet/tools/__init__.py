"""What one does with a finished work folder."""
