//! Suite files: named lists of objects.
