//! JSON schemas of what has a text form, for documents that describe an interface (feature `openapi`).

#[cfg(feature = "openapi")]
use super::{Actor, CorrelationId, Cursor, EventPosition, Permission, Secret, Timestamp, merkle::MerkleHash};

/// Gives a type the schema of a string. Part of [`typed_id!`](crate::typed_id).
#[cfg(feature = "openapi")]
#[doc(hidden)]
#[macro_export]
macro_rules! __text_schema {
    ($name:ty, $description:expr) => {
        impl $crate::kernel::schema_of::PartialSchema for $name {
            fn schema()
            -> $crate::kernel::schema_of::openapi::RefOr<$crate::kernel::schema_of::openapi::schema::Schema>
            {
                $crate::kernel::schema_of::openapi::ObjectBuilder::new()
                    .schema_type($crate::kernel::schema_of::openapi::schema::Type::String)
                    .description(Some($description))
                    .into()
            }
        }

        impl $crate::kernel::schema_of::ToSchema for $name {}
    };
}

/// Without the feature there is nothing to do.
#[cfg(not(feature = "openapi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __text_schema {
    ($name:ty, $description:expr) => {};
}

/// A page of one thing and a page of another are two schemas.
#[cfg(feature = "openapi")]
mod pages {
    use std::borrow::Cow;

    use utoipa::openapi::schema::{ArrayBuilder, Schema};
    use utoipa::openapi::{ObjectBuilder, Ref, RefOr};
    use utoipa::{PartialSchema, ToSchema};

    use super::Cursor;
    use crate::kernel::Page;

    impl<T: ToSchema> PartialSchema for Page<T> {
        fn schema() -> RefOr<Schema> {
            let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
            ObjectBuilder::new()
                .property("items", items)
                .property("next_cursor", Cursor::schema())
                .required("items")
                .description(Some("one page; without `next_cursor` it is the last"))
                .into()
        }
    }

    impl<T: ToSchema> ToSchema for Page<T> {
        fn name() -> Cow<'static, str> {
            format!("{}Page", T::name()).into()
        }

        fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            schemas.push((T::name().into(), T::schema()));
            T::schemas(schemas);
        }
    }
}

#[cfg(feature = "openapi")]
mod kernel_types {
    use super::*;

    crate::__text_schema! { Timestamp, "a time, RFC 3339 in UTC with up to six digits of a second" }
    crate::__text_schema! { Cursor, "where a page ended: opaque, valid for the same query only" }
    crate::__text_schema! { Permission, "`domain:verb`" }
    crate::__text_schema! { Secret, "a secret: it is never returned nor logged" }
    crate::__text_schema! { Actor, "`user:ID`, `service:NAME`, `anonymous` or `system`" }
    crate::__text_schema! { CorrelationId, "the request id" }
    crate::__text_schema! { EventPosition, "the commit of the store, and the index within it: `COMMIT.INDEX`" }
    crate::__text_schema! { MerkleHash, "a SHA-256 hash in standard base 64" }
}
