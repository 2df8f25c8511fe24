//! SingularMonitoredSession and MonitoredSession.
