//! One sample of every message type (filled in beside the generated schemas).
