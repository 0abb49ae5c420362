"""Pure functions of the method: tensors in, tensors out, on any device."""

import warnings

# torch warns once per process about the CSR matrices that lattice and walk use; a user can do nothing about it.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
