# Completion of lotus-worker for fish, made from its commands by `make docs`. Do not edit.
set -g __lotus_worker_takes addpiecemax allow-to commit1max commit2max datacidmax downloadsectormax external-pc2 fetchmax finalizemax finalizereplicaupdatemax finalizeunsealedmax format groups http-server-timeout id layout listen max-storage miner-repo name parallel-fetch-limit post-parallel-reads post-read-timeout precommit1holdmax precommit1interval precommit1max precommit2max precommit2prefetch provereplicaupdate1max provereplicaupdate2max regensectorkeymax replicaupdatemax sealer sealer-config storagerepo timeout unsealmax watch weight worker-repo workerrepo
set -g __lotus_worker_paths 'lotus-worker' 'lotus-worker run' 'lotus-worker stop' 'lotus-worker info' 'lotus-worker set' 'lotus-worker caps' 'lotus-worker caps list' 'lotus-worker caps set' 'lotus-worker caps reset' 'lotus-worker drain' 'lotus-worker undrain' 'lotus-worker storage' 'lotus-worker storage attach' 'lotus-worker storage detach' 'lotus-worker storage redeclare' 'lotus-worker resources' 'lotus-worker tasks' 'lotus-worker tasks enable' 'lotus-worker tasks disable'

function __lotus_worker_at
    set -l at lotus-worker
    set -l skip 0
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*=*' $word
            continue
        else if string match -q -- '-?*' $word
            set -l flag (string replace -r -- '^-+' '' $word)
            contains -- $flag $__lotus_worker_takes; and set skip 1
        else if contains -- "$at $word" $__lotus_worker_paths
            set at "$at $word"
        end
    end
    echo $at
end

function __lotus_worker_is
    test (__lotus_worker_at) = "$argv"
end

function __lotus_worker_in
    set -l at (__lotus_worker_at)
    string match -q -- "$argv*" $at
end

function __lotus_worker_values
    lotus-worker --generate-values $argv[1] -- (commandline -opc)[2..-1] 2>/dev/null
end

complete -c lotus-worker -f
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'run' -d 'run a sealing worker'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'stop' -d 'take the worker\'s paths out of the index and stop it'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'info' -d 'what the worker is, offers and stores'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'set' -d 'change what the running worker may carry'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'caps' -d 'what the worker may carry, and where that comes from'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'drain' -d 'take no more work, and wait until the worker is empty'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'undrain' -d 'take work again'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'storage' -d 'attach and detach the worker\'s storage paths'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'resources' -d 'list the variables that change what tasks need'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -a 'tasks' -d 'switch task types on and off while the worker runs'
complete -c lotus-worker -n '__lotus_worker_in lotus-worker' -l worker-repo -l workerrepo -r -F -d 'folder of the worker (the second names are old)'
complete -c lotus-worker -n '__lotus_worker_in lotus-worker' -l miner-repo -l storagerepo -r -F -d 'folder of the miner, for its address and token where MINER_API_INFO is not set'
complete -c lotus-worker -n '__lotus_worker_in lotus-worker' -l enable-gpu-proving -d 'use the GPU for proofs'
complete -c lotus-worker -n '__lotus_worker_in lotus-worker' -l layout -r -a 'rich plain classic' -d 'how tables look: rich, plain or classic (the tables of 2020)'
complete -c lotus-worker -n '__lotus_worker_in lotus-worker' -l format -r -a 'json jsonl csv' -d 'for programs, instead of tables: json, jsonl or csv'
complete -c lotus-worker -n '__lotus_worker_in lotus-worker' -l watch -r -d 'look again every 2 seconds, or as many as given; tables are drawn in place'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l listen -r -d 'host and port of the worker\'s API; 0.0.0.0 stands for the own address'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l no-local-storage -d 'first run: do not make the repo itself a storage path'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l no-swap -d 'leave swap out of the reported memory'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l name -r -d 'the worker\'s name in tables and logs'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l addpiece -d 'take AddPiece tasks (AP)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit1 -d 'take PreCommit1 tasks (PC1)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l unseal -d 'take unsealing (UNS)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit2 -d 'take PreCommit2 tasks (PC2)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l commit -d 'take Commit2 tasks (C2)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l replica-update -d 'take replica updates (RU)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l prove-replica-update2 -d 'take proofs of replica updates (PR2)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l regen-sector-key -d 'take regenerating of sector keys (GSK)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l sector-download -d 'take downloads of outside sectors (DL)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l windowpost -d 'do window proofs instead of sealing (WDP)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l winningpost -d 'do winning proofs instead of sealing (WNP)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l no-default -d 'take only what is switched on by name, and storage tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l parallel-fetch-limit -r -d 'most fetches at once'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l post-parallel-reads -r -d 'taken and without effect: no PoSt is made here'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l post-read-timeout -r -d 'taken and without effect: no PoSt is made here'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l timeout -r -d 'longest wait for the miner when the own address is looked for, like 30m'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l http-server-timeout -r -d 'longest wait for a request\'s headers'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l data-cid -d 'take DataCid tasks (DC)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l external-pc2 -r -d 'command that does PreCommit2, told by EXTSEAL_PC2_ variables'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit1max -r -d 'set maximum precommit1 quantity'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit1holdmax -r -d 'set maximum precommit1 hold quantity, 0 for no limit'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit2max -r -d 'set maximum precommit2 quantity'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l commit2max -r -d 'set maximum commit2 quantity'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l forcep2fromlocalp1 -d 'enable force precommit2 for local precommit1'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l forcep1fromlocalap -d 'take PC1 only of sectors whose data lies here'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l forcec2fromlocalp2 -d 'take C2 only of sectors whose PC2 was done here'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l allowp2c2parallel -d 'let PC2 and C2 run here at once'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit1interval -r -d 'least time between two starts of PC1'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l precommit2prefetch -r -d 'set quantity of next PC2 whose files are fetched while all PC2 slots run'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l addpiecemax -r -d 'set maximum quantity of AP tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l datacidmax -r -d 'set maximum quantity of DC tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l commit1max -r -d 'set maximum quantity of C1 tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l finalizemax -r -d 'set maximum quantity of FIN tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l finalizeunsealedmax -r -d 'set maximum quantity of FUS tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l fetchmax -r -d 'set maximum quantity of GET tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l unsealmax -r -d 'set maximum quantity of UNS tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l replicaupdatemax -r -d 'set maximum quantity of RU tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l provereplicaupdate1max -r -d 'set maximum quantity of PR1 tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l provereplicaupdate2max -r -d 'set maximum quantity of PR2 tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l finalizereplicaupdatemax -r -d 'set maximum quantity of FRU tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l regensectorkeymax -r -d 'set maximum quantity of GSK tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l downloadsectormax -r -d 'set maximum quantity of DL tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l sealer -r -a 'auto simulated proofs external' -d 'what does the sealing: auto, simulated, proofs, external'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l sealer-config -r -F -d 'the sealer\'s settings'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker run' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker stop' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker info' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l enabled -d 'enable/disable new task processing'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l precommit1max -r -d 'set maximum precommit1 quantity'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l precommit1holdmax -r -d 'set maximum precommit1 hold quantity, 0 for no limit'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l precommit2max -r -d 'set maximum precommit2 quantity'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l commit2max -r -d 'set maximum commit2 quantity'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l forcep2fromlocalp1 -d 'enable force precommit2 for local precommit1'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l forcep1fromlocalap -d 'take PC1 only of sectors whose data lies here'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l forcec2fromlocalp2 -d 'take C2 only of sectors whose PC2 was done here'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l allowp2c2parallel -d 'let PC2 and C2 run here at once'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l precommit1interval -r -d 'least time between two starts of PC1'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l precommit2prefetch -r -d 'set quantity of next PC2 whose files are fetched while all PC2 slots run'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l addpiecemax -r -d 'set maximum quantity of AP tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l datacidmax -r -d 'set maximum quantity of DC tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l commit1max -r -d 'set maximum quantity of C1 tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l finalizemax -r -d 'set maximum quantity of FIN tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l finalizeunsealedmax -r -d 'set maximum quantity of FUS tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l fetchmax -r -d 'set maximum quantity of GET tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l unsealmax -r -d 'set maximum quantity of UNS tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l replicaupdatemax -r -d 'set maximum quantity of RU tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l provereplicaupdate1max -r -d 'set maximum quantity of PR1 tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l provereplicaupdate2max -r -d 'set maximum quantity of PR2 tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l finalizereplicaupdatemax -r -d 'set maximum quantity of FRU tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l regensectorkeymax -r -d 'set maximum quantity of GSK tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l downloadsectormax -r -d 'set maximum quantity of DL tasks'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker set' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps' -a 'list' -d 'list caps with where each comes from'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps' -a 'set' -d 'change caps, like precommit1max=9'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps' -a 'reset' -d 'drop changed caps: those named, or all'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps list' -l all -d 'list caps that are not set, too'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps list' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps set' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps set' -a 'precommit1max= precommit1holdmax= precommit2max= commit2max= forcep2fromlocalp1= forcep1fromlocalap= forcec2fromlocalp2= allowp2c2parallel= precommit1interval= precommit2prefetch= addpiecemax= datacidmax= commit1max= finalizemax= finalizeunsealedmax= fetchmax= unsealmax= replicaupdatemax= provereplicaupdate1max= provereplicaupdate2max= finalizereplicaupdatemax= regensectorkeymax= downloadsectormax='
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps reset' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker caps reset' -a 'precommit1max precommit1holdmax precommit2max commit2max forcep2fromlocalp1 forcep1fromlocalap forcec2fromlocalp2 allowp2c2parallel precommit1interval precommit2prefetch addpiecemax datacidmax commit1max finalizemax finalizeunsealedmax fetchmax unsealmax replicaupdatemax provereplicaupdate1max provereplicaupdate2max finalizereplicaupdatemax regensectorkeymax downloadsectormax'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker drain' -l new-sectors -d 'only no new sectors: go on with the tasks of those whose files it has'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker drain' -l timeout -r -d 'longest wait until it is empty, like 6h; then exit with 1'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker drain' -l no-wait -d 'do not wait until it is empty'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker drain' -l until-restart -d 'over when the worker starts again; for its unit\'s ExecStop'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker drain' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker undrain' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage' -a 'attach' -d 'give the worker a path for sector files'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage' -a 'detach' -d 'take a path away from the worker; its files stay'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage' -a 'redeclare' -d 'look again at what lies on a path and tell the miner'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l init -d 'make the path\'s sectorstore.json first'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l weight -r -d '(with init) higher draws more files'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l seal -d '(with init) for sectors in the works'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l store -d '(with init) for finished sectors'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l max-storage -r -d '(with init) use no more than this, like 10TiB'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l groups -r -d '(with init) groups of the path'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l allow-to -r -d '(with init) groups that may fetch from it (default: all)'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage attach' -F
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage detach' -l really-do-it -d 'do it: without this flag nothing happens'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage detach' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage detach' -F
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage redeclare' -l id -r -d 'the path\'s id, as \'storage list\' or \'info\' shows it'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage redeclare' -l all -d 'every path'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage redeclare' -l drop-missing -d 'forget files that are not there any more'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage redeclare' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker storage redeclare' -F
complete -c lotus-worker -n '__lotus_worker_is lotus-worker resources' -l all -d 'every variable, with its value or its default'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker resources' -l default -d 'every variable with its default'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker resources' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks' -a 'enable' -d 'take tasks of a type again'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks' -a 'disable' -d 'take no more tasks of a type; running ones go on'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks enable' -l all -d 'every type'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks enable' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks enable' -a 'UNS C2 PC2 PC1 PR2 RU AP DC GSK'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks disable' -l all -d 'every type'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks disable' -l help -s h -d 'show help'
complete -c lotus-worker -n '__lotus_worker_is lotus-worker tasks disable' -a 'UNS C2 PC2 PC1 PR2 RU AP DC GSK'
