"""Prints the messages of graph files, in the form of src/text/messages.txt."""
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from tensorflow.core.protobuf import saved_model_pb2

SCALARS = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 8: "bool", 9: "string",
           12: "bytes", 13: "uint32", 18: "sint64"}
messages, enums = {}, {}


def walk(descriptor):
    if descriptor.full_name in messages:
        return
    messages[descriptor.full_name] = descriptor
    for field in descriptor.fields:
        if field.message_type:
            walk(field.message_type)
        if field.enum_type:
            enums[field.enum_type.full_name] = field.enum_type


walk(saved_model_pb2.SavedModel.DESCRIPTOR)
for name, descriptor in sorted(messages.items()):
    print("message", name)
    for field in sorted(descriptor.fields, key=lambda field: field.number):
        named = field.message_type or field.enum_type
        kind = named.full_name if named else SCALARS[field.type]
        mark = "*" if field.is_repeated else "?" if field.containing_oneof else ""
        print(field.number, kind + mark, field.name)
for name, descriptor in sorted(enums.items()):
    print("enum", name)
    for value in sorted(descriptor.values, key=lambda value: value.number):
        print(value.number, value.name)
