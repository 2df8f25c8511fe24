//! Scaffold, SessionManager and session creators.
