//! Helpers over roxmltree: values of XML attributes and elements with their places.
