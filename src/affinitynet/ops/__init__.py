"""Pure functions of the method: tensors in, tensors out, on any device."""

import warnings

# torch says so once per process of the CSR matrices that lattice and walk are made of; a user can do
# nothing about it.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
