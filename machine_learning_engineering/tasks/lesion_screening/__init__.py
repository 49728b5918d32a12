"""Which lesions turn out to be malignant: binary classification on cell measurements."""
