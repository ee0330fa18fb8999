//! Ed25519 of Zig's standard library behind the C interface of include/jl_services.h.

const std = @import("std");
const Ed25519 = std.crypto.sign.Ed25519;

/// Nothing here can fail; without this the panic handler would drag printing into the firmware.
pub const panic = std.debug.no_panic;

fn verify(key: [32]u8, digest: *const [32]u8, signature: [64]u8) !void {
    const public_key = try Ed25519.PublicKey.fromBytes(key);
    try Ed25519.Signature.fromBytes(signature).verify(digest, public_key);
}

export fn jl_ed25519_verify(
    key: *const [32]u8,
    digest: *const [32]u8,
    signature: *const [64]u8,
) bool {
    verify(key.*, digest, signature.*) catch return false;
    return true;
}
