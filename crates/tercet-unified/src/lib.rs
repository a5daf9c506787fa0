//! No code: the manifest enables features in libraries that all builds of the workspace share.
