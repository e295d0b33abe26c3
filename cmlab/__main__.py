"""python -m cmlab"""

from .cli import main

raise SystemExit(main())
