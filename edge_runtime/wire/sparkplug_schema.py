"""The Sparkplug B 3.0 payload as protobuf messages, built from one table.

Fields and their numbers: Sparkplug 3.0.0, section 6.4.1. A message that jouleloop does not speak
(DataSet, Template, MetaData, nested PropertySet) is not in the table: protobuf skips its fields,
so that no input can nest.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "jouleloop.sparkplug_b"

_SCALARS = {
    "uint32": descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    "uint64": descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}
_ONE_OF = "value"
# message -> (field, number, type); `oneof` fields form the oneof `value`; a type that is no scalar
# is a message of the table.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "PropertyValue": (
        ("type", 1, "uint32"),
        ("is_null", 2, "bool"),
        ("int_value", 3, "oneof uint32"),
        ("long_value", 4, "oneof uint64"),
        ("float_value", 5, "oneof float"),
        ("double_value", 6, "oneof double"),
        ("boolean_value", 7, "oneof bool"),
        ("string_value", 8, "oneof string"),
    ),
    "PropertySet": (
        ("keys", 1, "repeated string"),
        ("values", 2, "repeated PropertyValue"),
    ),
    "Metric": (
        ("name", 1, "string"),
        ("alias", 2, "uint64"),
        ("timestamp", 3, "uint64"),
        ("datatype", 4, "uint32"),
        ("is_historical", 5, "bool"),
        ("is_transient", 6, "bool"),
        ("is_null", 7, "bool"),
        ("properties", 9, "PropertySet"),
        ("int_value", 10, "oneof uint32"),
        ("long_value", 11, "oneof uint64"),
        ("float_value", 12, "oneof float"),
        ("double_value", 13, "oneof double"),
        ("boolean_value", 14, "oneof bool"),
        ("string_value", 15, "oneof string"),
    ),
    "Payload": (
        ("timestamp", 1, "uint64"),
        ("metrics", 2, "repeated Metric"),
        ("seq", 3, "uint64"),
    ),
}


def _file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="jouleloop/sparkplug_b.proto", package=PACKAGE, syntax="proto2"
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for name, number, type_name in fields:
            field = message.field.add(name=name, number=number)
            field.label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            *modifier, base = type_name.split()
            if modifier == ["repeated"]:
                field.label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            elif modifier == ["oneof"]:
                if not message.oneof_decl:
                    message.oneof_decl.add(name=_ONE_OF)
                field.oneof_index = 0
            if base in _SCALARS:
                field.type = _SCALARS[base]
            else:
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{PACKAGE}.{base}"
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.AddSerializedFile(_file_descriptor().SerializeToString())
_PAYLOAD = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.Payload"))


def new_payload() -> Any:
    """An empty protobuf `Payload`; type checkers cannot see the fields, which the table lists."""
    return _PAYLOAD()
