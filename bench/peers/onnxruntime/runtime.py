"""ONNX Runtime by the C interface of its library, which is all of it that the npm package onnxruntime-node brings."""

import ctypes
import functools

import numpy

# Places in the table OrtApi of onnxruntime_c_api.h, which from version to version grows at its end alone.
PLACES = {"GetErrorMessage": 2, "CreateEnv": 3, "CreateSessionFromArray": 8, "Run": 9, "CreateSessionOptions": 10,
          "SetIntraOpNumThreads": 24, "CreateTensorWithDataAsOrtValue": 49, "CreateCpuMemoryInfo": 69}
ELEMENTS = {"float32": 1, "int32": 6}  # ONNXTensorElementDataType
WARNING, ARENA_ALLOCATOR, DEFAULT_MEMORY = 2, 1, 0


class Runtime:
    """Sessions of so many threads each, with all optimisations of graphs, as is their default."""

    def __init__(self, library, threads):
        self.library = ctypes.CDLL(library)
        self.library.OrtGetApiBase.restype = ctypes.POINTER(ctypes.c_void_p)
        base = self.library.OrtGetApiBase()
        self.version = ctypes.CFUNCTYPE(ctypes.c_char_p)(base[1])().decode()
        table = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_uint32)(base[0])(1)
        self.functions = {name: ctypes.CFUNCTYPE(ctypes.c_void_p)(table[place]) for name, place in PLACES.items()}
        self.message = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)(table[PLACES["GetErrorMessage"]])
        self.environment = self._make("CreateEnv", WARNING, b"stepscan")
        self.memory = self._make("CreateCpuMemoryInfo", ARENA_ALLOCATOR, DEFAULT_MEMORY)
        self.options = self._make("CreateSessionOptions")
        self._check(self.functions["SetIntraOpNumThreads"](self.options, threads))

    def session(self, model, inputs, outputs):
        """The model as a function without arguments: it reads arrays and writes others, by name, where they lie."""
        session = self._make("CreateSessionFromArray", self.environment, model, ctypes.c_size_t(len(model)), self.options)

        def arguments(arrays):
            names = (ctypes.c_char_p * len(arrays))(*(name.encode() for name in arrays))
            values = (ctypes.c_void_p * len(arrays))(*(self._tensor(array).value for array in arrays.values()))
            return names, values, ctypes.c_size_t(len(arrays))

        (input_names, input_values, input_count), (names, values, count) = arguments(inputs), arguments(outputs)
        call = functools.partial(self.functions["Run"], session, None, input_names, input_values, input_count, names,
                                 count, values)
        kept = (model, inputs, outputs)

        def run():
            self._check(call())
            return kept[2]

        return run

    def _make(self, name, *arguments):
        """What a function gives by its last argument."""
        made = ctypes.c_void_p()
        self._check(self.functions[name](*arguments, ctypes.byref(made)))
        return made

    def _tensor(self, array):
        assert array.flags.c_contiguous
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        return self._make("CreateTensorWithDataAsOrtValue", self.memory, ctypes.c_void_p(array.ctypes.data),
                          ctypes.c_size_t(array.nbytes), shape, ctypes.c_size_t(array.ndim),
                          ELEMENTS[array.dtype.name])

    def _check(self, status):
        if status:
            raise RuntimeError("ONNX Runtime: " + self.message(status).decode())
