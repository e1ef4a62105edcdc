"""From network outputs to skeletons."""
