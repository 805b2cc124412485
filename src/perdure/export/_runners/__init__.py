"""Programs that run an exported policy in its own runtime: started by path, with numpy and the runtime alone."""
