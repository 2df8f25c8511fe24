//! Coordinator, queues and queue runners.
