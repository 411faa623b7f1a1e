"""The functions of the driver that are used, with the types of their arguments; each returns a status.

From cuda.h, under the names that the library exports: `_v2` where the header renames a function. All are
there from CUDA 11.4 on, which is JetPack 5.
"""

from __future__ import annotations

from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_ulonglong, c_void_p

HANDLE = c_void_p
ADDRESS = c_uint64  # CUdeviceptr, on every 64-bit system

PROTOTYPES = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceTotalMem_v2": (POINTER(c_size_t), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDeviceGetPCIBusId": (c_char_p, c_int, c_int),
    "cuDevicePrimaryCtxSetFlags_v2": (c_int, c_uint),
    "cuDevicePrimaryCtxRetain": (POINTER(HANDLE), c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (HANDLE,),
    "cuStreamCreate": (POINTER(HANDLE), c_uint),
    "cuStreamSynchronize": (HANDLE,),
    "cuStreamWaitEvent": (HANDLE, HANDLE, c_uint),
    "cuStreamDestroy_v2": (HANDLE,),
    "cuStreamBeginCapture_v2": (HANDLE, c_int),
    "cuStreamEndCapture": (HANDLE, POINTER(HANDLE)),
    "cuGraphInstantiateWithFlags": (POINTER(HANDLE), HANDLE, c_ulonglong),
    "cuGraphLaunch": (HANDLE, HANDLE),
    "cuGraphExecDestroy": (HANDLE,),
    "cuGraphDestroy": (HANDLE,),
    "cuEventCreate": (POINTER(HANDLE), c_uint),
    "cuEventRecord": (HANDLE, HANDLE),
    "cuEventSynchronize": (HANDLE,),
    "cuEventElapsedTime": (POINTER(c_float), HANDLE, HANDLE),
    "cuEventDestroy_v2": (HANDLE,),
    "cuMemAlloc_v2": (POINTER(ADDRESS), c_size_t),
    "cuMemFree_v2": (ADDRESS,),
    "cuMemHostAlloc": (POINTER(HANDLE), c_size_t, c_uint),
    "cuMemFreeHost": (HANDLE,),
    "cuMemcpyHtoDAsync_v2": (ADDRESS, HANDLE, c_size_t, HANDLE),
    "cuMemcpyDtoHAsync_v2": (HANDLE, ADDRESS, c_size_t, HANDLE),
}
