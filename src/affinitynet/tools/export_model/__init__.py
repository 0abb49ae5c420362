"""The segmentation network as a file that runs without affinitynet and without torch."""
