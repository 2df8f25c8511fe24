//! Graph, session and engine traits, status codes, fetches and feeds.
