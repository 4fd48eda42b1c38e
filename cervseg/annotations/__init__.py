"""What others drew or counted on an image, read into class indices and objects, and back."""
