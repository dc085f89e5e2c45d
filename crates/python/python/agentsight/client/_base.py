"""What the three clients share: one object per class, settings, and the transport."""

from threading import Lock, RLock
from typing import Any, ClassVar, Dict, Optional, Tuple, Type, TypeVar

from agentsight import _wire
from agentsight._native import Transport
from agentsight._wire import Plan
from agentsight.config import Config
from agentsight.exceptions import NoApiKeyException
from agentsight.logging import configure_logging

T = TypeVar("T")
C = TypeVar("C", bound="Client")
_UNSET: Any = object()


class Client:
    """One object per class and process, as the 0.0.x generation has it; ``separate`` makes others.

    The object that the package makes on import reads its settings when it is first used, and only then raises for want
    of a key.
    """

    _instance: ClassVar[Optional["Client"]] = None
    _instance_lock: ClassVar[Any] = Lock()

    def __new__(cls: Type[C], *args: Any, **kwargs: Any) -> C:
        with cls._instance_lock:
            known = cls.__dict__.get("_instance")
            if known is None:
                known = object.__new__(cls)
                known._prepare()
                cls._instance = known
            made: C = known
            return made

    def __init__(
        self,
        api_key: Optional[str] = None,
        endpoint: Optional[str] = None,
        config: Optional[Config] = None,
        **kwargs: Any,
    ) -> None:
        """Sets the one object up; arguments that are given are obeyed, also by an object that is set up already.

        Args:
            api_key: the key; ``AGENTSIGHT_API_KEY`` without it
            endpoint: a server's address, or ``file:///path/to/folder`` for a store in this process;
                ``AGENTSIGHT_API_ENDPOINT`` without it
            config: settings to begin with
            **kwargs: other fields of ``Config``

        Raises:
            NoApiKeyException: a server is meant and there is no key.
            InvalidApiKeyException: the key has not the form of one.
        """
        given = {"api_key": api_key, "endpoint": endpoint, **kwargs}
        given = {name: value for name, value in given.items() if value is not None}
        with self._setting_up:
            if self._initialized and config is None and not given:
                return
            self._set(config if config is not None else self._config or Config(), given)

    def _prepare(self) -> None:
        self._setting_up = RLock()
        self._initialized = False
        self._config: Optional[Config] = None
        self._transport: Optional[Transport] = None
        self._generation = 0

    @classmethod
    def _on_import(cls: Type[C]) -> C:
        return cls.__new__(cls)

    @classmethod
    def separate(cls: Type[C], **settings: Any) -> C:
        """Another object of this class, with settings of its own: a second agent, a second server, a test.

        Args:
            **settings: as for the class itself
        """
        made = object.__new__(cls)
        made._prepare()
        made.__init__(**settings)  # type: ignore[misc]
        return made

    def __copy__(self: C) -> C:
        """The object itself: it stands for a connection and for what waits to be sent."""
        return self

    def __deepcopy__(self: C, memo: Dict[int, Any]) -> C:
        return self

    def __reduce__(self) -> Tuple[Any, ...]:
        """In another process, the object of the class with these settings; what waits to be sent stays here."""
        return _unpickled, (type(self), self is type(self).__dict__.get("_instance"), self._config)

    def _set(self, settings: Config, given: Dict[str, Any]) -> None:
        settings.changed(given).check_key()
        settings.configure(**given)
        self._take(settings)

    def _take(self, settings: Config) -> None:
        if self._config is not settings or settings.log_level is not None:
            configure_logging(settings)
        self._config = settings
        self._transport = None
        self._initialized = True

    @property
    def config(self) -> Config:
        """The settings; read from the variables when first asked for."""
        if self._config is None:
            with self._setting_up:
                if self._config is None:
                    self._config = Config()
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config = config
        self._transport = None

    def configure(self, api_key: Optional[str] = _UNSET, endpoint: Optional[str] = _UNSET, **kwargs: Any) -> None:
        """Changes settings; the next call uses them.

        Args:
            api_key: the new key
            endpoint: the new endpoint
            **kwargs: other fields of ``Config``

        Raises:
            NoApiKeyException: ``api_key`` is None, or there is still no key and a server is meant.
            InvalidApiKeyException: the key has not the form of one.
        """
        updates: Dict[str, Any] = dict(kwargs)
        if api_key is not _UNSET:
            if api_key is None:
                raise NoApiKeyException("API key cannot be None")
            updates["api_key"] = api_key
        if endpoint is not _UNSET:
            updates["endpoint"] = endpoint
        with self._setting_up:
            self._set(self.config, updates)

    def _door(self) -> Transport:
        """The transport, opened when first needed, and again in a forked child."""
        transport = self._transport
        if transport is None or self._generation != _wire.generation:
            with self._setting_up:
                transport = _wire.transport_for(self.config)
                self._transport, self._generation = transport, _wire.generation
                self._initialized = True
        return transport

    def _run(self, plan: Plan[T]) -> T:
        return _wire.run(self._door(), plan)

    async def _arun(self, plan: Plan[T]) -> T:
        return await _wire.arun(self._door(), plan)


def _unpickled(kind: Type[C], is_shared: bool, config: Optional[Config]) -> C:
    if is_shared:
        made = kind._on_import()
    else:
        made = object.__new__(kind)
        made._prepare()
    if config is not None and config != made._config:
        made.config = config
        made._initialized = False
    return made
