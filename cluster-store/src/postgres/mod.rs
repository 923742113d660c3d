//! The stores of the domains on PostgreSQL.
