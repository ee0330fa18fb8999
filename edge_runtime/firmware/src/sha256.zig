//! SHA-256 of Zig's standard library behind the C interface of include/jl_sha256.h.

const std = @import("std");
const Sha256 = std.crypto.hash.sha2.Sha256;

/// Nothing here can fail; without this the panic handler would drag printing into the firmware.
pub const panic = std.debug.no_panic;

/// Room for the hash in `struct jl_sha256`.
const state_bytes = 128;

comptime {
    if (@sizeOf(Sha256) > state_bytes or @alignOf(Sha256) > 16)
        @compileError("struct jl_sha256 is too small");
}

export fn jl_sha256_begin(hash: *Sha256) void {
    hash.* = Sha256.init(.{});
}

export fn jl_sha256_add(hash: *Sha256, data: [*]const u8, bytes: usize) void {
    hash.update(data[0..bytes]);
}

export fn jl_sha256_end(hash: *Sha256, digest: *[32]u8) void {
    hash.final(digest);
}
