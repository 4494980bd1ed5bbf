"""The only place that knows LangChain and LangGraph. Nothing here imports them before the application has."""
