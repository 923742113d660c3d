//! The methods of the dead letters.

use platform_core::kernel::DeadLetterId;

use crate::shapes::plain;
use crate::table::methods;

methods! { dead_letters:
    list list() |platform, context, page| platform.dead_letters().list(&context, &page).await => plain;
    call get(id: DeadLetterId) |platform, context| platform.dead_letters().get(&context, id).await => plain;
    call redrive(id: DeadLetterId) |platform, context| platform.dead_letters().redrive(&context, id).await => plain;
}
