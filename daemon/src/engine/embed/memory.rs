//! Gives freed memory back to the system, where the allocator would otherwise keep it.
//!
//! Loading and unloading a model frees tens of megabytes in one go that an idle daemon has no other use for.

/// Returns unused heap pages to the system. Does nothing where the allocator does so by itself.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc declares exactly this signature, takes its own locks and touches only free memory.
        unsafe { malloc_trim(0) };
    }
}
