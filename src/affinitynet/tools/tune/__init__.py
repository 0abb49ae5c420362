"""Which settings of walk and masks fit the ground truth best."""
